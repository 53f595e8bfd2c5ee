"""Sample bundles, so that a new database has something to show."""

from shared.callers import Caller
from shared.token_bundles import service
from shared.token_bundles.schemas import TokenBundleCreate, TokenBundleListQuery

SAMPLER = Caller(subject="sample-data", client_id=None, request_id=None)
# name, description, tokens, price, active
SAMPLES = (
    ("Taster", "A first look, for a single afternoon.", 1_000, "1", True),
    ("Starter", "For a small project and a few experiments.", 10_000, "9", True),
    ("Hobby", "A month of evenings.", 25_000, "19", True),
    ("Creator", "For people who publish every week.", 50_000, "35", True),
    ("Professional", "For daily work.", 100_000, "59", True),
    ("Team", "Shared by up to ten people.", 250_000, "129", True),
    ("Business", "For a department, with room to grow.", 1_000_000, "449", True),
    ("Enterprise", "For a whole company.", 10_000_000, "3900", True),
    ("Top-up small", None, 5_000, "5", True),
    ("Top-up large", None, 20_000, "17", True),
    ("Summer special", "Was on sale in July and August.", 30_000, "15", False),
    ("Early adopter", "For the customers of the first year.", 75_000, "29", False),
)


def load() -> int:
    """Create the sample bundles when there are no bundles at all, and return how many were created."""
    if service.list_bundles(TokenBundleListQuery(per_page=1)).total:
        return 0
    for position, (name, description, token_amount, price, is_active) in enumerate(SAMPLES):
        service.create_bundle(
            TokenBundleCreate.model_validate(
                {
                    "name": name,
                    "description": description,
                    "token_amount": token_amount,
                    "price": price,
                    "is_active": is_active,
                    "sort_order": position * 10,
                }
            ),
            SAMPLER,
        )
    return len(SAMPLES)
