"""Readable sentences in which every word and every full stop is one token of the tokenizer."""

from hashlib import blake2b, shake_128

SHORTEST, SPREAD = 17, 80  # 16 to 96 tokens: a text that would end in two stops ends in one
ENTROPY_BYTES = 192  # more than the longest text takes: one byte a token and one a sentence

DETERMINERS = "the each this that one every another"
ADJECTIVES = "old new quiet bright small long deep warm cold clear green dark slow calm broad distant steady gentle"
NOUNS = (
    "river water light city wheel stone bridge engine field forest market winter house road wind rain lake mountain "
    "garden station train machine paper letter window door clock song story signal street village island ship boat"
)
VERBS = "holds opens moves takes gives brings shows finds needs sees knows leads keeps carries turns meets follows"
PREPOSITIONS = "through over under near along toward beyond across behind beside after before around above below"
ADVERBS = "often always never still now again once soon later slowly quickly clearly"

Slot = tuple[str, ...]


def slot(words: str) -> Slot:
    """A choice of words, each with the space before it, for every value of a byte."""
    each = [f" {word}" for word in words.split()]
    return tuple(each[value % len(each)] for value in range(256))


OPENINGS = slot(DETERMINERS.title())
D, A, N, V, P, R = map(slot, (DETERMINERS, ADJECTIVES, NOUNS, VERBS, PREPOSITIONS, ADVERBS))
STOP: Slot = (".",) * 256
SENTENCES: tuple[tuple[Slot, ...], ...] = (
    (OPENINGS, A, N, V, D, N, STOP),
    (OPENINGS, N, R, V, D, A, N, STOP),
    (OPENINGS, A, N, V, D, N, P, D, N, STOP),
    (OPENINGS, N, P, D, N, V, D, A, N, STOP),
)


def digest(*parts: bytes) -> bytes:
    """One seed out of several parts; where one part ends and the next begins counts."""
    state = blake2b(digest_size=32)
    for part in parts:
        state.update(len(part).to_bytes(8))
        state.update(part)
    return state.digest()


def sentences(seed: bytes) -> list[str]:
    """Sentences as pieces of one token each, 16 to 96 of them, by the seed."""
    entropy = shake_128(seed).digest(ENTROPY_BYTES)
    length = SHORTEST + int.from_bytes(entropy[:2]) % SPREAD
    pieces: list[str] = []
    at = 2
    while len(pieces) < length:
        pattern = SENTENCES[entropy[at] % len(SENTENCES)]
        pieces += [words[byte] for words, byte in zip(pattern, entropy[at + 1 :], strict=False)]
        at += 1 + len(pattern)
    del pieces[length - 1 :]
    if pieces[-1] != ".":
        pieces.append(".")
    pieces[0] = pieces[0].lstrip()
    return pieces
