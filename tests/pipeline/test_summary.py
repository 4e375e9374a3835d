"""What a report says of a reconstruction: warnings gathered."""

from autophasenn.pipeline.summary import ALIKE, gathered


def test_many_alike_warnings_are_one_sentence_with_a_count() -> None:
    aliens = [
        f"An alien of {n} photons about frame {n}, row 1{n}, column 2 was masked ({n}.5 times its counterpart)."
        for n in range(207)
    ]
    assert gathered(["The mask is odd.", *aliens, "The beam is coherent in part."]) == (
        "The mask is odd.",
        f"{aliens[0]} The same holds for 206 more.",
        "The beam is coherent in part.",
    )


def test_few_alike_warnings_are_each_told_and_the_same_one_once() -> None:
    few = [f"An alien of {n} photons was masked." for n in range(ALIKE)]
    assert gathered([*few, *few, "Odd."]) == (*few, "Odd.")


def test_warnings_of_other_words_are_not_alike() -> None:
    others = [f"The {name} holds 5 voxels." for name in ("dark field", "white field", "mask", "pattern", "scan")]
    assert gathered(others) == tuple(others)
