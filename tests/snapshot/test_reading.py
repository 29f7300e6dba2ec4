"""What is read of pages: frames, permissions, and whose storage is whose."""

from gateway.snapshot.reading import PERMISSIONS, Reading
from tests.snapshot.live import Browser, Place


async def looked_at(browser: Browser) -> Reading:
    """All that there is, read once."""
    reading = Reading(browser.devtools)
    await reading.discover(30)
    for target in reading.targets.values():
        async with browser.devtools.attached(target.id) as session:
            target.session = session
            await reading.look(target, 30, 30)
    return reading


async def test_frames_of_a_page_have_their_own_session_storage_only(browser: Browser, place: Place) -> None:
    async with browser.first_page() as page:
        await page.goto(place.at(path="/outer"))
        await page.evaluate(
            """localStorage.token = "outer"; sessionStorage.tab = "outer";
               for (const how of ["about:blank", "data:text/html,x", "/sandboxed"]) {
                 const frame = document.createElement("iframe");
                 if (how === "/sandboxed") frame.sandbox = "allow-scripts";
                 frame.src = how;
                 document.body.append(frame);
               }"""
        )
        reading = await looked_at(browser)
    (page_read,) = [target for target in reading.targets.values() if target.parent_frame is None]
    assert {name: area.items for name, area in page_read.areas.items()}[place.origin()] == {"tab": "outer"}
    assert set(reading.origins) == {place.origin()}
    assert reading.origins[place.origin()].local.items == {"token": "outer"}


async def test_a_popup_has_the_storage_of_no_origin(browser: Browser, place: Place) -> None:
    async with browser.first_page() as page:
        await page.goto(place.at())
        await page.evaluate("sessionStorage.tab = 'one'; window.open(''); 1")
        reading = await looked_at(browser)
    assert sorted(tuple(target.areas) for target in reading.targets.values()) == [(), (place.origin(),)]


async def test_every_permission_that_is_granted_can_be_granted_again(browser: Browser, place: Place) -> None:
    async with browser.first_page() as page:
        await page.goto(place.at())
        for name in PERMISSIONS:
            descriptor = {"name": name, **({"userVisibleOnly": True} if name == "push" else {})}
            params = {"permission": descriptor, "setting": "granted", "origin": place.origin()}
            await browser.devtools.send("Browser.setPermission", params)
        reading = await looked_at(browser)
        # All of those that everyone has are among them, and told apart by nothing.
        assert {given.name for given in reading.permissions()} >= {"geolocation", "camera", "notifications", "push"}
        await browser.devtools.send("Browser.resetPermissions")
        assert (await looked_at(browser)).permissions() == ()
