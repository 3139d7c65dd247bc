"""The guard reads the parameters of a notebook from the text of its cells."""

import pytest

from imigue_lab.errors import SettingsError
from imigue_lab.studies.trials import SearchSettings
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.settings import in_force, settings_from_cells
from tests.parameters import parameters_cell

PARAMETERS = parameters_cell(EmotionSettings)


def read(*cells):
    return settings_from_cells(EmotionSettings, ["", *cells])


def test_the_committed_cell_is_all_defaults():
    assert read(PARAMETERS) == EmotionSettings()


def test_the_values_in_force_are_those_that_differ_from_the_defaults_and_show_no_password():
    assert in_force(EmotionSettings()) == "the defaults"
    settings = read(PARAMETERS, "# Parameters\npreset = 'paper'\ngamma = 0.7\n")
    for own in ("gamma=0.7", "width=512", "preset='paper'", ", otherwise the defaults"):
        assert own in in_force(settings)
    assert "seed" not in in_force(settings)
    search = SearchSettings(storage="postgresql://me:geheim@host/studies")
    assert in_force(search) == "storage='postgresql://me:***@host/studies', otherwise the defaults"


def test_an_injected_value_counts():
    assert read(PARAMETERS, "# Parameters\ngamma = 1.0\nname = 'mine'\n").gamma == 1.0


def test_an_edited_literal_counts_and_beats_the_preset():
    edited = PARAMETERS.replace("lr: float = 0.0001", "lr: float = 0.001")
    edited = edited.replace('preset: str = ""', 'preset: str = "paper"')
    settings = read(edited)
    assert settings.lr == 1e-3
    assert settings.width == 512


def test_an_injected_value_that_equals_the_default_beats_the_preset():
    settings = read(PARAMETERS, "# Parameters\npreset = 'paper'\nwidth = 32\n")
    assert settings.width == 32
    assert settings.depth == 8


def test_a_cell_that_is_run_again_replaces_what_was_injected_before_it():
    edited = PARAMETERS.replace("gamma: float = 0.5", "gamma: float = 2.0")
    assert read(PARAMETERS, "# Parameters\ngamma = 1.0\n", "x = 1", edited).gamma == 2.0
    assert read(edited, PARAMETERS).gamma == 0.5


def test_other_cells_are_not_mistaken_for_parameters():
    assert read(PARAMETERS, "gamma = 3", "note: str = 'hello'", "%time x").gamma == 0.5


@pytest.mark.parametrize(
    ("injected", "complaint"),
    [
        ("gama = 0.5", "did you mean gamma"),
        ("gamma = -1", "greater than or equal to 0"),
        ("name = 1", "use -r name, with the text"),
        ("gamma = [0.5]", "valid number"),
    ],
)
def test_invalid_values_that_papermill_accepts_are_refused(injected, complaint):
    with pytest.raises(SettingsError, match=complaint):
        read(PARAMETERS, f"# Parameters\n{injected}\n")


def test_an_expression_in_the_cell_is_refused():
    edited = PARAMETERS.replace("lr: float = 0.0001", "lr: float = base * 2")
    with pytest.raises(SettingsError, match="lr: 'base \\* 2' is not a plain value"):
        read(edited)


def test_a_name_added_to_the_cell_is_refused():
    with pytest.raises(SettingsError, match="gama: no such parameter"):
        read(PARAMETERS + "\ngama: float = 0.5  # a slip\n")


def test_a_missing_parameters_cell_is_refused():
    with pytest.raises(SettingsError, match="was not run"):
        read("x = 1")
