"""Writes numbers as an .xlsx of one sheet without header, as iMiGUE's keypoint files are.

By hand, because a full-size tree has 18,232 of them: 2 ms a file of 6 rows.
"""

import zipfile
from pathlib import Path

import numpy as np
from jaxtyping import Float

from imigue_lab.data.workspace import atomic_path

OFFICE = "http://schemas.openxmlformats.org"
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
PARTS = {
    "[Content_Types].xml": (
        f'<Types xmlns="{OFFICE}/package/2006/content-types">'
        '<Default Extension="rels"'
        ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/xl/workbook.xml" ContentType='
        '"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
        '<Override PartName="/xl/worksheets/sheet1.xml" ContentType='
        '"application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>'
    ),
    "_rels/.rels": (
        f'<Relationships xmlns="{OFFICE}/package/2006/relationships"><Relationship Id="rId1"'
        f' Type="{OFFICE}/officeDocument/2006/relationships/officeDocument"'
        ' Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/workbook.xml": (
        f'<workbook xmlns="{OFFICE}/spreadsheetml/2006/main"'
        f' xmlns:r="{OFFICE}/officeDocument/2006/relationships">'
        '<sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>'
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships xmlns="{OFFICE}/package/2006/relationships"><Relationship Id="rId1"'
        f' Type="{OFFICE}/officeDocument/2006/relationships/worksheet"'
        ' Target="worksheets/sheet1.xml"/></Relationships>'
    ),
}


def write_spreadsheet(path: Path, values: Float[np.ndarray, "rows columns"]) -> None:
    """Writes a table of numbers whole, or leaves what was there."""
    names = [column_name(number) for number in range(values.shape[1])]
    rows = []
    for number, row in enumerate(values.tolist(), start=1):
        cells = [
            f'<c r="{name}{number}"><v>{value:.10g}</v></c>'
            for name, value in zip(names, row, strict=True)
        ]
        rows.append(f'<row r="{number}">{"".join(cells)}</row>')
    sheet = (
        f'<worksheet xmlns="{OFFICE}/spreadsheetml/2006/main">'
        f"<sheetData>{''.join(rows)}</sheetData></worksheet>"
    )
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name, text in (PARTS | {"xl/worksheets/sheet1.xml": sheet}).items():
            archive.writestr(zipfile.ZipInfo(name), HEAD + text, zipfile.ZIP_DEFLATED)


def column_name(number: int) -> str:
    """A, B, ... Z, AA, ... of a column counted from 0."""
    name = ""
    number += 1
    while number:
        number, letter = divmod(number - 1, 26)
        name = chr(ord("A") + letter) + name
    return name
