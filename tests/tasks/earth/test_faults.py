"""Faults of the servers, injected into the real ones: what passes is survived, what does not is reported truly."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tasks.core.errors import CatalogError, SceneError, UnreachableError
from tasks.core.section import load
from tasks.earth import sample_catalog
from tasks.earth.assets import find_named
from tasks.earth.catalog import Catalog, CatalogParams, Query
from tasks.earth.raster import TargetGrid, open_asset, read_onto
from tests.conftest import ROOT
from tests.fixtures import faults

QUERY = Query("sentinel-2-l1c", [-180, -90, 180, 90], "2015-01-01/2020-01-01", None)
BAND = "S2A_33UUU_20170216_0_L1C/nir.tif"


@pytest.fixture
def read(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """Read a band through the file server with a fault in it."""
    with sample_catalog.serve(ROOT / "samples") as endpoints:
        scenes = Catalog("sample", load(CatalogParams, "catalogs.sample"), endpoints).search(QUERY, 10)
    scene = next(scene for scene in scenes if scene.id in BAND)

    def read_with(fault: str, **settings: str) -> float:
        monkeypatch.setenv("FAULT_PATH", BAND)
        for name, value in settings.items():
            monkeypatch.setenv(f"FAULT_{name.upper()}", value)
        monkeypatch.setenv("FAULT", fault)
        with sample_catalog.serve(ROOT / "samples", search=False, program="tests.fixtures.faulty_catalog") as endpoints:
            catalog = Catalog("sample", load(CatalogParams, "catalogs.sample"), endpoints)
            asset = find_named(scene, "nir")
            assert asset is not None
            with open_asset(asset, catalog) as opened:
                dataset = opened.dataset
                left, top = dataset.transform.c, dataset.transform.f
                target = TargetGrid(dataset.crs.to_epsg(), left, top, dataset.res[0], 64, 64)
                values, _ = read_onto(opened, target)
                return float(values.mean())

    yield read_with


@pytest.mark.parametrize("fault", ["TooManyRequests", "BadGateway", "CutOff"])
def test_a_fault_that_passes_is_survived_and_the_pixels_are_the_same(read, fault: str) -> None:
    assert read(fault, times="1") == read("NotFound", times="0")


def test_a_server_that_refuses_stops_the_stage_instead_of_leaving_the_scene_out(read) -> None:
    with pytest.raises(UnreachableError, match=r"S2A_33UUU.*the server answers 403.*run the same command again"):
        read("Forbidden")


def test_a_server_that_begins_to_refuse_in_the_middle_of_a_read_is_told_from_a_damaged_file(read) -> None:
    with pytest.raises(UnreachableError, match="the server answers 403"):
        read("Forbidden", after="2")


def test_a_file_that_is_gone_is_a_matter_of_its_scene_alone(read) -> None:
    with pytest.raises(SceneError) as caught:
        read("NotFound")
    assert caught.value.reason == "unreadable" and "404" in str(caught.value)


@pytest.fixture
def api(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """The STAC API behind a proxy with a fault in it."""
    servers: list[uvicorn.Server] = []
    with sample_catalog.serve(ROOT / "samples") as endpoints, httpx.Client() as upstream:

        def serve(fault: type[faults.Fault], times: int) -> Catalog:
            monkeypatch.setenv("FAULT_PATH", "/search")
            monkeypatch.setenv("FAULT_TIMES", str(times))

            async def forward(request: Request) -> Response:
                body = await request.body()
                headers = {"content-type": request.headers.get("content-type", "application/json")}
                url = f"{endpoints.api}{request.url.path}"
                answer = upstream.request(
                    request.method, url, content=body, headers=headers, params=request.query_params
                )
                # Links of the answer lead through the proxy too, as those of a gateway do.
                text = answer.text.replace(endpoints.api, f"http://127.0.0.1:{port}")
                return Response(text, answer.status_code, media_type=answer.headers["content-type"])

            routes = [Route("/{path:path}", forward, methods=["GET", "POST"])]
            server = uvicorn.Server(
                uvicorn.Config(Starlette(routes=routes, middleware=[Middleware(fault)]), port=0, log_level="error")
            )
            threading.Thread(target=server.run, daemon=True).start()
            servers.append(server)
            while not server.started:
                time.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            return Catalog(
                "sample",
                load(CatalogParams, "catalogs.sample"),
                sample_catalog.Endpoints(f"http://127.0.0.1:{port}", endpoints.files),
            )

        yield serve
        for server in servers:
            server.should_exit = True


@pytest.mark.parametrize("fault", [faults.TooManyRequests, faults.BadGateway])
def test_a_search_goes_on_after_a_refusal_and_waits_as_long_as_it_was_asked_to(api, fault: type) -> None:
    begun = time.monotonic()
    assert len(api(fault, times=1).search(QUERY, 10)) == 2
    if fault is faults.TooManyRequests:
        assert time.monotonic() - begun >= 1, "Retry-After was 1 second"


def test_a_search_that_is_refused_for_good_names_the_catalog_and_the_answer(api) -> None:
    with pytest.raises(CatalogError, match=r"catalog 'sample'.*failed on collection 'sentinel-2-l1c'"):
        api(faults.Forbidden, times=100).search(QUERY, 10)
