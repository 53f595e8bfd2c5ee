"""Pages of a list: which one is asked for, and what is shown of it."""

from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, Field
from typing_extensions import TypedDict

from shared.fields import INTEGER_IN_TEXT, MAX_BIG_INTEGER

MAX_PER_PAGE = 100

PageNumber = Annotated[int, Field(ge=1, le=MAX_BIG_INTEGER), INTEGER_IN_TEXT]
PerPage = Annotated[
    PageNumber,
    AfterValidator(lambda wanted: min(wanted, MAX_PER_PAGE)),
    Field(description=f"How many of them are on a page: {MAX_PER_PAGE} when more are asked for."),
]


class PageQuery(BaseModel, defer_build=True):
    """Which page to show, and how long it is."""

    page: Annotated[PageNumber, Field(description="After the last page all are empty.")] = 1
    per_page: PerPage = 20

    @property
    def offset(self) -> int:
        """How many rows come before the page, as far as the database can count."""
        return min((self.page - 1) * self.per_page, MAX_BIG_INTEGER)


Item = TypeVar("Item")


class Page(TypedDict, Generic[Item]):
    """One page of a list, and how many items and pages there are in all."""

    items: list[Item]
    total: int
    page: int
    per_page: int
    pages: int


def show_page(items: list[Item], total: int, query: PageQuery) -> Page[Item]:
    """Show the items of the page that was asked for."""
    pages = -(-total // query.per_page)
    return {"items": items, "total": total, "page": query.page, "per_page": query.per_page, "pages": pages}
