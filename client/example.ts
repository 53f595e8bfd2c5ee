import createClient from "openapi-fetch";
import type { paths } from "./api.js";

const COLLECTION = "/api/v1/admin/token-bundles";

/** Create a bundle after all others, look at another price, and set it unless somebody else has changed it meanwhile. */
export async function example(baseUrl: string, token: string): Promise<string> {
  const api = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });
  const list = await api.GET(COLLECTION, { params: { query: { per_page: 1 } } });
  if (list.error) return sentence(list.error);
  const created = await api.POST(COLLECTION, {
    params: { header: { "Idempotency-Key": crypto.randomUUID() } },
    body: { name: "Weekend", token_amount: 2000, price: "2.50", sort_order: list.data.total },
  });
  if (created.error) return sentence(created.error);
  if ("validate_only" in created.data) return "Nobody has asked for a preview.";
  const { id, version } = created.data.bundle;
  const bundles = [{ id, version, price: "6.00" }];
  const looked = await api.PATCH(COLLECTION, { params: { query: { validate_only: true } }, body: { bundles } });
  if (looked.error) return sentence(looked.error);
  const warnings = "warnings" in looked.data ? looked.data.warnings.map((warning) => warning.detail) : [];
  // The version says what is to be changed, as If-Match with the ETag would for one bundle.
  const changed = await api.PATCH(COLLECTION, { params: { query: { reason: "Autumn" } }, body: { bundles } });
  if (changed.response.status === 409) return "Somebody else has changed it: look at it again.";
  return changed.error ? sentence(changed.error) : warnings.join(" ");
}

/** Find the words for a person, whether a function or API Gateway itself has answered. */
function sentence(error: { error: string } | { message: string }): string {
  return "error" in error ? error.error : error.message;
}

// @ts-expect-error What the API would refuse does not compile.
export const refused: paths[typeof COLLECTION]["post"]["requestBody"]["content"]["application/json"] = { name: 1 };
