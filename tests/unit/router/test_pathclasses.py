"""A class of paths is what the rules tell of a path, and no more."""

RULES = """
- {when: {path: "**.{css,js}"}, drop: asset}
- {when: {any: [{path: /admin/**}, {not: {path: /shop/**, bot: ai}}], method: GET}, event: e}
"""


def test_paths_of_which_every_condition_says_the_same_are_of_one_class(table):
    """Two styles are alike wherever they are, unless another rule tells them apart."""
    of = table(RULES).paths.of
    assert of("/a.css") == of("/deep/b.JS") == of("/%61.css")
    assert of("/a.css") != of("/shop/a.css")
    assert len({of("/"), of("/admin/x"), of("/shop/"), of("/a.css"), of("/admin/a.css")}) == 5


def test_classes_do_not_suffice_where_a_condition_sees_more_than_the_path(table):
    """An address holds the query as well: paths of a class fare alike only while that is unknown."""
    made = table(RULES + "- {when: {url: 'https://**'}, drop: rule}")
    assert made.paths.suffice(frozenset({"query"}))
    assert not made.paths.suffice(frozenset({"referrer"}))
    assert table(RULES).paths.suffice(frozenset())
