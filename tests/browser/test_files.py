"""Files: attached, read, cited; and the passage that a citation opens."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.person import Person

LEASE = """# Berlin office

The notice period for the Berlin office is three months.

# Munich office

The notice period for the Munich office is six months.
"""
# A red square of one pixel.
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0000003010100c9fe92ef"
    "0000000049454e44ae426082"
)


@pytest.fixture
def lease(tmp_path: Path) -> Path:
    path = tmp_path / "lease.md"
    path.write_text(LEASE, "utf-8")
    return path


def attach(person: Person, *files: Path) -> None:
    with person.page.expect_file_chooser() as chooser:
        person.page.get_by_role("button", name="Attach files").click()
    chooser.value.set_files(list(files))


def test_an_answer_cites_an_attached_file_and_the_number_opens_the_passage(alice: Person, lease: Path) -> None:
    attach(alice, lease)
    entry = alice.page.get_by_role("list", name="Attachments").get_by_role("listitem")
    expect(entry).to_contain_text("lease.md")
    alice.message.fill("What is the notice period for the Berlin office?")
    expect(alice.send_button).to_be_enabled()
    expect(entry.get_by_role("progressbar")).to_be_hidden()
    alice.send_button.click()
    alice.expect_end()
    expect(alice.last).to_contain_text("three months")
    expect(alice.last.get_by_text("Searched the files")).to_be_visible()
    source = alice.last.get_by_role("button", name="Source 1: lease.md")
    expect(source).to_have_text("1")
    source.click()
    panel = alice.page.get_by_role("complementary", name="Sources")
    passage = panel.get_by_role("article", name="lease.md")
    expect(passage.first).to_contain_text("The notice period for the Berlin office is three months.")
    expect(passage.first).to_be_focused()
    alice.page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(source).to_be_focused()
    # Later turns search it too, and after a reload the number is there again.
    alice.page.reload()
    expect(alice.last.get_by_role("button", name="Source 1: lease.md")).to_be_visible()
    alice.ask("And what is the notice period for the Munich office?")
    expect(alice.last).to_contain_text("six months")
    expect(alice.last.get_by_role("button", name="Source 1: lease.md")).to_be_visible()


def test_the_way_of_a_file_is_shown(alice: Person, tmp_path: Path) -> None:
    large = tmp_path / "large.txt"
    large.write_text("The quick brown fox. " * 100_000, "utf-8")
    session = alice.page.context.new_cdp_session(alice.page)
    session.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 500_000}
    session.send("Network.emulateNetworkConditions", slow)
    attach(alice, large)
    bar = alice.page.get_by_role("progressbar", name="large.txt")
    expect(bar).to_be_visible()
    expect(alice.send_button).to_be_disabled()
    alice.page.wait_for_function("() => document.querySelector('#attachments progress').value > 0.1")
    session.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})
    expect(alice.page.get_by_text("Reading", exact=True)).to_be_visible()
    expect(bar).to_be_hidden()


def test_a_file_is_removed_before_it_is_sent(alice: Person, lease: Path) -> None:
    attach(alice, lease)
    # What was on its way arrives, and is deleted.
    with alice.page.expect_response(lambda answer: answer.request.method == "DELETE" and "/v1/files/" in answer.url):
        alice.page.get_by_role("button", name="Remove lease.md").click()
    expect(alice.page.get_by_role("list", name="Attachments")).to_be_hidden()
    with alice.open_api() as api:
        expect(alice.message).to_be_focused()
        assert "lease.md" not in [each["filename"] for each in api.get("/files").json()["data"][:1]]


def test_a_picture_is_seen_by_the_model(alice: Person, tmp_path: Path) -> None:
    picture = tmp_path / "red.png"
    picture.write_bytes(PICTURE)
    attach(alice, picture)
    expect(alice.send_button).to_be_enabled()
    answer = alice.ask("What do you see?")
    expect(answer).to_contain_text("1 image")
    expect(alice.said.last.get_by_role("img")).to_be_visible()


@pytest.mark.long
def test_a_file_that_cannot_be_read_says_so(alice: Person, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.4 this is no document")
    attach(alice, broken)
    entry = alice.page.get_by_role("list", name="Attachments").get_by_role("listitem")
    expect(entry).to_contain_text("cannot be read")
    expect(alice.send_button).to_be_disabled()
    alice.page.get_by_role("button", name="Remove broken.pdf").click()
    alice.message.fill("go on")
    expect(alice.send_button).to_be_enabled()


# As a browser gives files that were dropped or pasted: no script can do that from outside of the page.
GIVE = """([kind, place]) => {
  const files = new DataTransfer();
  files.items.add(new File(['some words'], `${kind}.txt`));
  const init = { bubbles: true, cancelable: true };
  const event = kind === 'paste'
    ? new ClipboardEvent(kind, { ...init, clipboardData: files })
    : new DragEvent(kind, { ...init, dataTransfer: files });
  document.querySelector(place).dispatchEvent(event);
}"""


@pytest.mark.long
def test_files_that_are_dropped_or_pasted_are_attached(alice: Person) -> None:
    alice.page.evaluate(GIVE, ["dragover", "#thread"])
    expect(alice.page.get_by_text("Drop the files to attach them")).to_be_visible()
    alice.page.evaluate(GIVE, ["drop", "#thread"])
    expect(alice.page.get_by_text("Drop the files to attach them")).to_be_hidden()
    alice.page.evaluate(GIVE, ["paste", "#message"])
    for name in ("drop.txt", "paste.txt"):
        expect(alice.page.get_by_role("button", name=f"Remove {name}")).to_be_visible()
    expect(alice.page.get_by_role("list", name="Attachments").get_by_role("listitem")).to_have_count(2)


@pytest.mark.long
def test_more_files_than_a_message_takes_are_left_out_and_named(alice: Person, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.png" for number in range(22)]
    for file in files:
        file.write_bytes(PICTURE)
    attach(alice, *files)
    expect(alice.page.get_by_text("A message takes 20 files.")).to_be_visible()
    expect(alice.page.get_by_role("list", name="Attachments").get_by_role("listitem")).to_have_count(20)


@pytest.mark.parametrize("is_store_there", [True, False])
def test_a_deleted_conversation_takes_its_files_along(
    alice: Person, lease: Path, tmp_path: Path, is_store_there: bool
) -> None:
    picture = tmp_path / "red.png"
    picture.write_bytes(PICTURE)
    attach(alice, lease, picture)
    expect(alice.send_button).to_be_enabled()
    alice.ask("What do you see?")
    with alice.open_api() as api:
        conversation = api.get(f"/conversations/{alice.conversation_id}").json()
        store = f"/vector_stores/{conversation['metadata']['eps_page_files']}"
        [document] = [each["id"] for each in api.get(f"{store}/files").json()["data"]]
        said = api.get(f"/conversations/{conversation['id']}/items?order=asc").json()["data"][0]
        [image] = [part["file_id"] for part in said["content"] if part["type"] == "input_image"]
        gone = [f"/files/{image}", store]
        if is_store_there:
            gone.append(f"/files/{document}")
        else:
            assert api.delete(store).status_code == 200
        alice.page.get_by_role("button", name="Conversation options").click()
        alice.page.get_by_role("menuitem", name="Delete").click()
        alice.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(alice.page.get_by_text("The conversation is deleted.")).to_be_visible()
        assert [path for path in gone if api.get(path).status_code != 404] == []
        assert alice.page.locator(".toast.error").count() == 0
