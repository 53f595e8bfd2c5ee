"""The currency that all prices in the database are in."""

from alembic.util import CommandError
from sqlalchemy import Connection, inspect, text

from shared.settings import Currency, SettingsError, currency, settings

# Who writes meanwhile waits for this, and is then told about the other currency.
LOCK = text("LOCK TABLE public.token_bundle IN SHARE ROW EXCLUSIVE MODE")
UNFIT = text("SELECT id FROM public.token_bundle WHERE price <> round(price, :decimals) ORDER BY id LIMIT 20")
# A version of each, because an entity tag stands for what is shown.
CHANGE = text("""
    WITH known AS (
        INSERT INTO public.default_currency AS known (code) VALUES (:code)
        ON CONFLICT (is_only) DO UPDATE SET code = excluded.code WHERE known.code <> excluded.code
        RETURNING known.code
    ), changed AS (
        UPDATE public.token_bundle AS bundle SET version = version + 1, updated_at = clock_timestamp()
        FROM known
        RETURNING bundle.*
    )
    INSERT INTO public.token_bundle_change (bundle_id, version, action, bundle, currency)
    SELECT id, version, 'currency_changed', to_jsonb(changed), :code FROM changed
""")


def check_currency(connection: Connection) -> None:
    """Raise CommandError when the functions are set to another currency than the prices are in."""
    if not inspect(connection).has_table("default_currency", schema="public"):
        return
    known = connection.scalar(text("SELECT code FROM public.default_currency"))
    wanted = settings.default_currency.code
    if known != wanted:
        raise CommandError(
            f"The prices in the database are in {known}, and DEFAULT_CURRENCY is {wanted}: set {known}, "
            f"or make them prices in {wanted} with the command `currency {wanted}` (see docs/runbook.md)."
        )


def change_currency(connection: Connection, code: str | None) -> None:
    """Have all prices count as being in another currency; raises SettingsError, CommandError."""
    wanted = currency(code or "")
    if wanted is None:
        raise SettingsError(f"The currency must be an ISO 4217 code such as EUR, not {code!r}.")
    connection.execute(LOCK)
    check_prices(connection, wanted)
    connection.execute(CHANGE, {"code": code})


def check_prices(connection: Connection, wanted: Currency) -> None:
    """Raise CommandError when there are prices with more decimals than the currency has."""
    if unfit := connection.scalars(UNFIT, {"decimals": wanted.decimals}).all():
        raise CommandError(
            f"{wanted.code} has {wanted.decimals} decimals, and these bundles' prices have more: correct "
            f"them first (20 are named at most): {', '.join(map(str, unfit))}"
        )
