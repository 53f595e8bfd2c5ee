"""The query and the file of an export."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from shared.token_bundles.schemas.query import TokenBundleFilters
from shared.token_bundles.schemas.read import TokenBundleRead


class TokenBundleExportQuery(TokenBundleFilters, extra="forbid", defer_build=True):
    """Which bundles to export, in which order and form."""

    format: Annotated[
        Literal["csv", "json"], Field(description="CSV as spreadsheets read it, or JSON for programs.")
    ] = "csv"


class TokenBundlesExport(TypedDict):
    """All bundles that were found."""

    bundles: list[TokenBundleRead]
