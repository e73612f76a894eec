"""One text, read once for all families of features."""

from functools import cached_property
from itertools import chain

from fingerprints import markdown, tokenise

Token = tuple[str, str]


class Reading:
    """A text and what the features look at in it. Each part is made when it is first asked for, in linear time."""

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"a text is needed, not {type(text).__name__}")  # a missing answer is not an empty one
        self.text = text

    @cached_property
    def lines(self) -> list[markdown.Line]:
        """Lines of the cleaned text with their markdown roles, blank ones and code among them."""
        return markdown.lines(tokenise.clean(self.text))

    @cached_property
    def paragraphs(self) -> list[list[list[Token]]]:
        """Tokens of the prose, by sentence, by paragraph. A token is `(word, "")` or `("", mark)`."""
        return [
            [tokenise.pairs(sentence) for unit in units for sentence in tokenise.split(unit)]
            for units in tokenise.blocks(self.lines)
        ]

    @cached_property
    def sentences(self) -> list[list[Token]]:
        """Tokens of the prose by sentence."""
        return list(chain.from_iterable(self.paragraphs))

    @cached_property
    def words(self) -> list[str]:
        """Words of the prose in order, case kept."""
        return [word for sentence in self.sentences for word, _ in sentence if word]

    @cached_property
    def lowered(self) -> list[str]:
        """The words in lower case."""
        return [word.lower() for word in self.words]

    @cached_property
    def marks(self) -> list[str]:
        """Marks of the prose in order."""
        return [mark for sentence in self.sentences for _, mark in sentence if mark]
