"""How rankings become one."""

from penstock_indexer.domain.ranking import K, fused


def test_what_both_find_comes_first() -> None:
    """A chunk in both lists beats the first of one."""
    by_meaning, by_words = [(1, 0.9), (2, 0.8)], [(3, 12.0), (2, 7.0)]
    order = fused([by_meaning, by_words])
    assert [id_ for id_, _ in order] == [2, 1, 3]
    assert order[0][1] == 2 / (K + 2)


def test_one_empty_ranking_changes_no_order() -> None:
    """Words that no chunk holds leave the vectors' order."""
    assert [id_ for id_, _ in fused([[(5, 0.5), (4, 0.4)], []])] == [5, 4]
