"""Brands: read strictly, every fault at once, and a logo that is a picture and nothing else."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from PIL import Image

from changeover.adapters.brand_files import load_brand, logo_faults, read_brand
from changeover.adapters.document_files import DocumentFaults
from changeover.domain.brand import contrast
from changeover.settings import load
from tests.support import papers
from tests.support.content import put

SHIPPED = load({}).branding
GOOD = """\
schema_version: 1
name: Acme Operations
logo: acme.svg
colours: {primary: "#123456", accent: "#aa3300"}
roles: {upgrade_manager: Release captain, dba: Database administrator}
systems: {cmdb: ServiceNow}
"""
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="9" height="9"/></svg>'


@pytest.fixture
def branding(tmp_path: Path) -> Path:
    put(tmp_path / "acme.yaml", GOOD)
    put(tmp_path / "acme.svg", SVG)
    return tmp_path


def test_the_shipped_brand_is_in_order() -> None:
    assert load_brand("default", branding=SHIPPED).brand.name == "Changeover"


def test_documents_call_roles_and_systems_as_the_brand_does(branding: Path) -> None:
    brand = load_brand("acme", branding=branding).brand
    assert brand.role("upgrade_manager") == "Release captain"
    assert brand.role("change_manager") == "Change manager"
    assert brand.role("night_shift") == "Night shift"
    assert brand.system("cmdb") == "ServiceNow"
    assert brand.system("ledger") == "Ledger"


def test_all_faults_come_at_once(branding: Path) -> None:
    put(
        branding / "acme.yaml",
        'schema_version: 1\nname: ""\nlogo: ../secret.svg\ncolours: {primary: "#ffee00", accent: red}\n'
        "systems: {cmbd: ServiceNow}\nslogan: we care\n",
    )
    faults = read_brand("acme", branding=branding).faults
    assert {fault.path for fault in faults} >= {"name", "logo", "colours.accent", "slogan"}


def test_text_that_cannot_be_read_on_white_is_refused(branding: Path) -> None:
    put(branding / "acme.yaml", GOOD.replace("#123456", "#ffee00"))
    (fault,) = read_brand("acme", branding=branding).faults
    assert fault.path == "colours.primary"
    assert "contrast" in fault.message


def test_an_unknown_system_is_refused_with_the_known_ones(branding: Path) -> None:
    put(branding / "acme.yaml", GOOD.replace("cmdb:", "cmbd:"))
    (fault,) = read_brand("acme", branding=branding).faults
    assert fault.path == "systems.cmbd"
    assert "cmdb" in fault.message


def test_a_brand_that_is_not_there_names_those_that_are(branding: Path) -> None:
    with pytest.raises(DocumentFaults, match="known: acme"):
        load_brand("../acme", branding=branding)


@pytest.mark.parametrize(
    "svg",
    [
        SVG.replace("<rect", "<script>alert(1)</script><rect"),
        SVG.replace("<rect", '<image href="file:///etc/passwd"/><rect'),
        SVG.replace("<rect", '<rect onload="x()"'),
        SVG.replace("<rect", '<rect style="fill: url(http://elsewhere.example/a)"'),
        SVG.replace("<rect", "<style>@import 'http://elsewhere.example'</style><rect"),
        '<!DOCTYPE svg [<!ENTITY a "b">]>' + SVG,
        SVG.replace("<rect", "<text>Acme</text><rect"),
        "<html/>",
        "not XML",
    ],
)
def test_a_logo_that_does_more_than_show_is_refused(tmp_path: Path, svg: str) -> None:
    assert logo_faults(put(tmp_path / "logo.svg", svg), tmp_path)


def test_a_logo_may_refer_to_its_own_gradients(tmp_path: Path) -> None:
    own = SVG.replace("<rect", '<linearGradient id="g"/><rect fill="url(#g)"')
    assert logo_faults(put(tmp_path / "logo.svg", own), tmp_path) == ()


def test_a_logo_lies_where_the_brand_lies(tmp_path: Path) -> None:
    inside = tmp_path / "branding"
    put(tmp_path / "elsewhere.svg", SVG)
    inside.mkdir()
    (inside / "logo.svg").symlink_to(tmp_path / "elsewhere.svg")
    assert "leads out" in logo_faults(inside / "logo.svg", inside)[0]


def test_a_png_is_a_png(tmp_path: Path) -> None:
    assert logo_faults(put(tmp_path / "logo.png", b"GIF89a"), tmp_path)
    assert logo_faults(put(tmp_path / "logo.png", _png(40, 10)), tmp_path) == ()


def test_a_png_that_was_cut_off_is_the_brands_fault(tmp_path: Path) -> None:
    whole = _png(40, 10)
    for cut in (b"\x89PNG\r\n\x1a\n....", whole[: len(whole) // 2]):
        assert "damaged" in logo_faults(put(tmp_path / "logo.png", cut), tmp_path)[0]


@pytest.mark.parametrize("size", ['viewBox="0 0 2000 10"', 'width="2000" height="10px"'])
def test_a_logo_wider_than_the_header_can_hold_is_refused(tmp_path: Path, size: str) -> None:
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size}><rect width="9" height="9"/></svg>'
    assert "10 times" in logo_faults(put(tmp_path / "logo.svg", svg), tmp_path)[0]
    assert "10 times" in logo_faults(put(tmp_path / "logo.png", _png(101, 10)), tmp_path)[0]
    assert logo_faults(put(tmp_path / "logo.png", _png(100, 10)), tmp_path) == ()


def _png(width: int, height: int) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (width, height)).save(made, "PNG")
    return made.getvalue()


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#ffffff") == pytest.approx(1)
    assert contrast("#000000") == pytest.approx(21)
    assert contrast("#767676") == pytest.approx(4.54, abs=0.01)


def test_the_example_of_the_page_can_be_copied(tmp_path: Path) -> None:
    """A copy of the shipped brand under another name is a brand."""
    for ending in ("yaml", "svg"):
        shutil.copy(SHIPPED / f"default.{ending}", tmp_path / f"default.{ending}")
    (tmp_path / "default.yaml").rename(tmp_path / "mine.yaml")
    assert load_brand("mine", branding=tmp_path).brand == papers.brand_set().brand
