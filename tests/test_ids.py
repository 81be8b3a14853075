"""Ids."""

from jobs.models.ids import new_id


def test_ids_are_version_seven_and_sort_by_the_order_they_were_made_in():
    made = [new_id() for _ in range(5000)]
    assert made == sorted(made)
    assert len(set(made)) == 5000
    assert {(id.version, id.variant) for id in made} == {(7, "specified in RFC 4122")}
