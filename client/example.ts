import createClient from "openapi-fetch";
import type { paths } from "./api.js";

const COLLECTION = "/api/v1/admin/token-bundles";

/** Create a bundle after all others, and change its price unless somebody else has changed it meanwhile. */
export async function example(baseUrl: string, token: string): Promise<string> {
  const api = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });
  const list = await api.GET(COLLECTION, { params: { query: { per_page: 1 } } });
  if (list.error) return sentence(list.error);
  const created = await api.POST(COLLECTION, {
    params: { header: { "Idempotency-Key": crypto.randomUUID() } },
    body: { name: "Weekend", token_amount: 2000, price: "2.50", sort_order: list.data.total },
  });
  if (created.error) return sentence(created.error);
  const { bundle } = created.data;
  // What was read may be sent back whole: its version says what is to be changed, as If-Match with the ETag would.
  const changed = await api.PUT(`${COLLECTION}/{bundle_id}`, {
    params: { path: { bundle_id: bundle.id } },
    body: { ...bundle, price: "3.00" },
  });
  if (changed.response.status === 409) return "Somebody else has changed it: look at it again.";
  return changed.error ? sentence(changed.error) : changed.data.bundle.price;
}

/** Find the words for a person, whether a function or API Gateway itself has answered. */
function sentence(error: { error: string } | { message: string }): string {
  return "error" in error ? error.error : error.message;
}

// @ts-expect-error What the API would refuse does not compile.
export const refused: paths[typeof COLLECTION]["post"]["requestBody"]["content"]["application/json"] = { name: 1 };
