"""The wall: many streams at once, as large as the window allows, and only those in sight."""

from browser import assert_counter_rises, until
from relay import eventually

STREAMS = {f"cam{i}": "test:?fps=10&size=320x180" for i in range(8)}
PHONE = {"viewport": {"width": 390, "height": 844}}


def playing(page):
    return page.evaluate("[...document.querySelectorAll('porthole-player')].map((player) => player.state === 'playing' ? player.src : null).filter(Boolean)")


def test_the_wall_shows_every_stream_in_one_window(porthole, new_page):
    relay = porthole(STREAMS)
    page = new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{relay.url}/wall")
    eventually(lambda: page.wait_for_timeout(100) or len(playing(page)) == 8, 15, "eight tiles play")
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight"), "without scrolling"
    assert_counter_rises(page, fps=10)
    assert len(page.query_selector_all(".wall > li")) == 8


def test_src_chooses_the_streams_and_their_order(porthole, page):
    relay = porthole(STREAMS)
    page.goto(f"{relay.url}/wall.html?src=cam5&src=cam2&src=nobody")
    until(page, "document.querySelectorAll('[data-state=playing]').length === 2", 10000)
    assert page.evaluate("[...document.querySelectorAll('.wall .name')].map((name) => name.textContent)") == ["cam5", "cam2", "nobody"]
    assert "no stream of this name" in page.text_content(".wall > li:nth-child(3)")
    page.click(".wall > li:nth-child(2) a")
    page.wait_for_url("**/stream.html?src=cam2")


def test_several_streams_in_go2rtcs_player_address_lead_to_the_wall(porthole, page):
    relay = porthole(STREAMS)
    page.goto(f"{relay.url}/stream.html?src=cam1&src=cam3")
    page.wait_for_url("**/wall.html?src=cam1&src=cam3")
    until(page, "document.querySelectorAll('[data-state=playing]').length === 2", 10000)


def test_tiles_out_of_sight_hang_up_and_come_back(porthole, new_page):
    relay = porthole(STREAMS)
    page = new_page(**PHONE)
    page.goto(f"{relay.url}/wall")
    until(page, "document.querySelector('porthole-player')?.state === 'playing'", 10000)
    seen = page.evaluate("[...document.querySelectorAll('.wall > li')].filter((tile) => tile.getBoundingClientRect().top < innerHeight).length")
    assert 2 <= seen < 8, "a phone shows some of them"
    eventually(lambda: page.wait_for_timeout(100) or len(playing(page)) == seen, 10, "those in sight play")
    assert sum(relay.viewers(name) for name in STREAMS) == seen
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    eventually(lambda: page.wait_for_timeout(100) or ("cam7" in playing(page) and "cam0" not in playing(page)), 10, "the others play now")
    eventually(lambda: relay.viewers("cam0") == 0, 3, "the relay sends nothing to a tile out of sight")
    assert page.evaluate("document.querySelector('.wall video').readyState") >= 2, "whose last picture stays"


def test_a_browser_that_saves_data_starts_what_is_tapped(porthole, page):
    relay = porthole(STREAMS)
    page.add_init_script("Object.defineProperty(navigator, 'connection', { value: { saveData: true } })")
    page.goto(f"{relay.url}/wall?src=cam0&src=cam1")
    page.wait_for_selector(".wall > li")
    page.wait_for_timeout(1500)
    assert playing(page) == [] and sum(relay.viewers(name) for name in STREAMS) == 0
    page.click(".wall > li:nth-child(2) a")
    until(page, "document.querySelectorAll('[data-state=playing]').length === 1", 5000)
    assert playing(page) == ["cam1"] and "wall" in page.url


def test_a_stream_without_a_publisher_waits_on_the_wall_without_a_session(porthole, page):
    relay = porthole({"door": None})
    page.goto(f"{relay.url}/wall")
    page.wait_for_selector(".hint:has-text('Nobody sends')", timeout=5000)
    assert relay.viewers("door") == 0


def test_no_tile_in_sight_stays_dark_for_their_number(porthole, new_page):
    relay = porthole({f"cam{i}": "test:?fps=5&size=320x180" for i in range(20)})
    page = new_page(viewport={"width": 1920, "height": 1080})
    page.goto(f"{relay.url}/wall")
    eventually(lambda: page.wait_for_timeout(100) or len(playing(page)) == 20, 20, "twenty tiles play")


def test_a_relay_without_room_for_all_tiles_is_quoted_and_a_tap_changes_places(porthole, page):
    relay = porthole(STREAMS, relay={"sessions": 3})
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(f"{relay.url}/wall")
    tiles = "[...document.querySelectorAll('.wall > li')]"
    held = f"{tiles}.filter((tile) => /all 3 sessions are in use.*tap to play this one/i.test(tile.textContent))"
    until(page, f"{held}.length === 5", 10000)
    assert len(playing(page)) == 3
    page.evaluate(f"{held}.at(-1).querySelector('a').id = 'held'")
    name = page.text_content("#held .name")
    page.click("#held")
    eventually(lambda: page.wait_for_timeout(100) or name in playing(page), 10, "the tapped one plays")
    assert len(playing(page)) == 3 and page.evaluate(f"{held}.length") == 5 and page.url.endswith("/wall")
    asked = relay.log().count("offer refused")
    page.wait_for_timeout(1500)
    assert relay.log().count("offer refused") == asked, "a relay that is full is left in peace"
