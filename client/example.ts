import createClient, { type Client } from "openapi-fetch";
import type { paths } from "./api.js";

const COLLECTION = "/api/v1/admin/token-bundles";
type Api = Client<paths>;
type Body<Method extends "post" | "patch"> =
  paths[typeof COLLECTION][Method]["requestBody"]["content"]["application/json"];

export function connect(baseUrl: string, token: string): Api {
  return createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });
}

/** Create a bundle, and return its id: only one, however often this is called with the same key. */
export async function create(api: Api, key: string, body: Body<"post">): Promise<string> {
  const { data, error } = await api.POST(COLLECTION, { params: { header: { "Idempotency-Key": key } }, body });
  if (error) throw new Error(sentence(error));
  if ("validate_only" in data) throw new Error("Nobody has asked for a preview.");
  return data.bundle.id;
}

/** Change bundles, all or none, if a person agrees to what is worth a second look; return whether it is done. */
export async function changeMany(
  api: Api, body: Body<"patch">, reason: string, agrees: (warnings: string[]) => boolean,
): Promise<boolean> {
  const looked = await api.PATCH(COLLECTION, { params: { query: { validate_only: true } }, body });
  if (looked.error) throw new Error(sentence(looked.error));
  const warnings = "warnings" in looked.data ? looked.data.warnings : [];
  if (!agrees(warnings.map(({ detail }) => detail))) return false;
  // Each entry's version says what has been looked at, as If-Match with the ETag would for one bundle.
  const changed = await api.PATCH(COLLECTION, { params: { query: { reason } }, body });
  if (changed.error) throw new Error(sentence(changed.error));
  return true;
}

/** Find the words for a person, whether a function or API Gateway itself has answered. */
function sentence(error: { error: string } | { message: string }): string {
  return "error" in error ? error.error : error.message;
}

// @ts-expect-error What the API would refuse does not compile.
export const refused: Body<"post"> = { name: 1 };
