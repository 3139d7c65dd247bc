"""Is any variant significantly better on data without signal? Four fusions, eight synthetic sets.

python -m benchmarks.null_ablation [sets]        2 minutes on two cores
"""

import sys
import tempfile
from pathlib import Path

import pandas as pd

from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.results.compare import compare, show_comparison
from imigue_lab.studies.ablations import ablate
from imigue_lab.studies.trials import AblationSettings
from imigue_lab.training.runs import Run


def null_table(sets: int, videos: int, given: str) -> pd.DataFrame:
    """Every variant against the full model, pooled over sets without signal."""
    runs: dict[str, list[Run]] = {}
    for seed in range(sets):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / f"null-{seed}"
            make_data(root, SyntheticSpec(videos=videos, seed=seed, signal="none", pictures=False))
            settings = AblationSettings(data=str(root), seed=seed, seeds=1, given=given)
            for variant, own in ablate(settings).items():
                runs.setdefault(variant, []).extend(own)
    return compare(runs)


def main(sets: int = 8) -> None:
    table = null_table(sets, videos=120, given="epochs:10 lr:1e-3")
    print(show_comparison(table).to_string(index=False))
    assert (table.p_holm.dropna() > 0.05).all()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
