import pytest

from tasks.core.errors import ParamsError
from tasks.earth.label_params import LabelsParams, require_label_source
from tasks.earth.sensors import SENSORS

RADAR = next(sensor for sensor in SENSORS.values() if sensor.unit == "dB")
OPTICAL = next(sensor for sensor in SENSORS.values() if sensor.unit == "reflectance")
OWN = {"fields": {"kind": "polygon", "path": "inputs/labels/fields.gpkg"}}
COLLECTION = {"landcover": {"kind": "polygon", "asset": "labels"}}


def params(sources=None, spectral="auto") -> LabelsParams:
    return LabelsParams(min_fraction=0.01, spectral=spectral, sources=sources or {})


def test_radar_without_any_label_source_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ParamsError, match=r"cannot be labelled: its bands do not tell land cover.*'x' gives no label"):
        require_label_source(RADAR, "x", [], params(COLLECTION))


def test_an_optical_sensor_without_rules_and_sources_is_one_too() -> None:
    with pytest.raises(ParamsError, match=r"labels\.spectral is 'never'"):
        require_label_source(OPTICAL, "x", ["landcover"], params(spectral="never"))


@pytest.mark.parametrize(
    ("sensor", "offered", "known"),
    [(RADAR, ["landcover"], params(COLLECTION)), (RADAR, [], params(OWN)), (OPTICAL, [], params())],
)
def test_a_collection_a_file_or_the_bands_will_do(sensor, offered, known) -> None:
    require_label_source(sensor, "x", offered, known)
