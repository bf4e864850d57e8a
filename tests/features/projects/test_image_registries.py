"""T109, T142: wherever an image is named, its registry must be one Kovra would ask; nothing else is stored."""

from __future__ import annotations

import pytest

from tests.support.product import App, Product

INSIDE = [
    "127.0.0.1/x", "127.0.0.1:443/x", "127.0.0.1:5000/x", "10.0.0.1/x", "10.0.0.1:5000/team/app:1", "192.168.1.1/x",
    "172.16.0.9/x", "100.64.0.1/x", "169.254.169.254/latest/meta-data", "169.254.169.254:80/x", "169.254.170.2/x",
    "169.254.170.23/v1", "0.0.0.0/x", "255.255.255.255/x", "224.0.0.1/x", "198.18.0.1/x", "192.0.0.8/x", "localhost/x",
    "localhost:5000/x", "LOCALHOST/x", "app.localhost/x", "registry.local/x", "metadata.google.internal/x",
    "instance-data.ec2.internal/x", "kubernetes.default.svc/x", "kubernetes.default.svc.cluster.local/x",
    "127.1/x", "0177.0.0.1/x", "0x7f.0.0.1/x", "127.0.1/x", "0x7F.1/x", "1.2.3/x", "256.1.1.1/x", "ghcr.io:8443/x",
    "ghcr.io:80/x", "ghcr.io:22/x", "docker.io:5000/x", "web-production-12345678.apps.test/x", "apps.test/x",
]  # fmt: skip
WRONG = [
    "", " ", "docker.io/../x", "../x", "./x", "/x", "x/", "x//y", "ghcr.io/Team/App", "Team/App", "UPPER", "x:", "x:tag:tag",
    "x@sha256:short", "x@sha256:" + "A" * 64, "x@sha512:" + "0" * 128, "x:" + "t" * 129, "r/" + "a" * 300, "a" * 600, "https://ghcr.io/x",
    "ghcr.io./x", "[::1]/x", "[fd00:ec2::254]:443/x", "user@ghcr.io/x", "user:pw@ghcr.io/x", "ghcr.io/x?y", "ghcr.io/x#y",
    "ghcr.io/x y", "ghcr.io/x\ny", "ghcr.io/x\x00", "ghcr\u3002io/x", "ghcr.io/\u00e9", "ghcr.io/%2e%2e/x", "ghcr.io:443:443/x",
    "ghcr.io:-1/x", "ghcr.io:x/y", "-ghcr.io/x", "ghcr-.io/x", "g_hcr.io/x", "$(id)", "`id`", "x;id", "--upload-pack=x",
]  # fmt: skip


@pytest.fixture(scope="module")
async def app(product: Product) -> App:
    return await (await product.sign_up()).app(image=None)


@pytest.mark.parametrize(("images", "code"), [(INSIDE, "registry_not_allowed"), (WRONG, "image_invalid")])
async def test_every_place_for_an_image_refuses_it(app: App, images: list[str], code: str) -> None:
    send, project = app.caller.send, app.project["slug"]
    for image in images:
        for method, path, body in (
            ("POST", "/v1/apps", {"project": project, "name": "Other", "slug": "other", "image": image}),
            ("PATCH", f"/v1/apps/{app.app['id']}", {"image": image}),
            ("POST", f"/v1/apps/{app.app['id']}/deployments", {"environment": "production", "image": image}),
        ):
            answer = await send(method, path, body)
            problem = answer.json()
            assert answer.status_code == 422, (image, path, answer.text)
            assert problem["errors"][0]["pointer"] == "/image", (image, path)
            if 0 < len(image) <= 255 and image.isprintable():
                assert problem["errors"][0]["code"] == code, (image, path, problem)
            assert len(image) < 4 or image not in answer.text.replace("/v1/", ""), image
    names = [a["slug"] for a in (await app.caller.get(f"/v1/apps?project={project}"))["data"]]
    assert names == ["web"]
    assert (await app.caller.get(f"/v1/apps/{app.app['id']}"))["image"] is None
    assert (await app.caller.get("/v1/deployments"))["data"] == []


@pytest.mark.parametrize(
    "image", ["nginx", "ghcr.io/team/app:1", "GHCR.io/team/app", "quay.io:443/team/app", "8.8.8.8/x"]
)
async def test_public_registries_are_taken(app: App, image: str) -> None:
    assert (await app.caller.patch(f"/v1/apps/{app.app['id']}", {"image": image}))["image"] == image
    await app.caller.patch(f"/v1/apps/{app.app['id']}", {"image": None})
