"""What a run changed is counted in full and named up to a bound."""

from retrieval.touched import Change, Touched


def test_each_change_is_told_by_what_it_did() -> None:
    touched = Touched()
    before = {"same": "l1", "text": "l1", "moved": "l1", "gone": "l1"}
    after = {"same": "l1", "text": "l1", "moved": "l2", "new": "l2"}
    touched.note(before, after, {"text", "new"})
    assert touched.documents == {
        Change.CHANGED: ["new", "text"],
        Change.DELETED: ["gone"],
        Change.RELABELLED: ["moved"],
    }
    assert touched.labels == {("l1", ""): 1, ("l1", "l2"): 1, ("", "l2"): 1}


def test_what_was_never_there_is_nothing() -> None:
    touched = Touched()
    touched.note({}, {}, ())
    touched.note({"same": "l1"}, {"same": "l1"}, ())
    assert (touched.documents, touched.labels) == ({}, {})


def test_a_large_run_names_some_and_counts_all() -> None:
    touched = Touched()
    for start in (0, 400, 800):
        ids = {f"d{number:04}": "l1" for number in range(start, start + 400)}
        touched.note({}, ids, ids)
    assert len(touched.documents[Change.CHANGED]) == 500
    assert touched.more[Change.CHANGED] == 700
    assert touched.labels == {("", "l1"): 1200}
