/** Files on their way: into the service, and into a vector store's index. */

import { ApiError, NetworkError, readRefusal, sleep } from "./api.js";

/** Between two looks at a file that is being indexed, where the server does not say. */
const POLL_MS = 1000;

/** @typedef {{id: string, filename: string, bytes: number, purpose: string} & Record<string, unknown>} StoredFile */

/** The file was stored, and cannot be searched. `code` is the service's: `unsupported_file`, `invalid_file` … */
export class IndexingError extends Error {
  name = "IndexingError";

  /** @param {string} code @param {string} message */
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/**
 * Store a file. `fetch` tells nothing of an upload on its way, so this is an XMLHttpRequest.
 *
 * @param {import("./api.js").Api} api
 * @param {File} file
 * @param {{purpose?: string, onProgress?: (share: number) => void, signal?: AbortSignal}} [options]
 *   `onProgress` hears of 0 to 1; 1 means sent, not stored
 * @returns {Promise<StoredFile>}
 * @throws {ApiError | NetworkError} `request_too_large`, `quota_exceeded` …
 */
export async function uploadFile(api, file, { purpose = "user_data", onProgress = () => {}, signal } = {}) {
  const send = async () => sendForm(api, composeForm(file, purpose), { onProgress, signal });
  try {
    return await send();
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
    api.forgetSecret(); // it ended on the way
    return send();
  }
}

/** @param {File} file @param {string} purpose */
function composeForm(file, purpose) {
  const form = new FormData();
  form.append("purpose", purpose); // before the file, so that a wrong one is refused before it is sent
  form.append("file", file, file.name || "file");
  return form;
}

/** @returns {Promise<StoredFile>} */
async function sendForm(api, form, { onProgress, signal }) {
  const secret = await api.getSecretValue();
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    signal?.addEventListener("abort", abort, { once: true });
    request.upload.onprogress = ({ loaded, total }) => onProgress(total ? loaded / total : 0);
    request.onload = () => {
      if (request.status < 300) resolve(JSON.parse(request.responseText));
      else reject(readRefusal(request.status, request.responseText, (name) => request.getResponseHeader(name)));
    };
    request.onerror = () => reject(new NetworkError("The upload broke off."));
    request.onabort = () => reject(signal?.reason ?? new NetworkError("The upload broke off."));
    request.onloadend = () => signal?.removeEventListener("abort", abort);
    request.open("POST", `${api.baseUrl}/files`);
    request.setRequestHeader("Authorization", `Bearer ${secret}`);
    request.send(form);
  });
}

/**
 * Put a stored file into a vector store, and wait until a search finds it.
 *
 * @param {import("./api.js").Api} api
 * @param {{vectorStoreId: string, fileId: string, onProgress?: (status: string) => void, signal?: AbortSignal}} options
 *   `onProgress` hears the file's status at each look: `in_progress`, then `completed`
 * @returns {Promise<Record<string, any>>} the vector store's file
 * @throws {IndexingError | ApiError | NetworkError}
 */
export async function indexFile(api, { vectorStoreId, fileId, onProgress = () => {}, signal }) {
  const files = `/vector_stores/${encodeURIComponent(vectorStoreId)}/files`;
  // Attaching the same file again changes nothing, so that it may be repeated.
  const options = { body: { file_id: fileId }, idempotencyKey: crypto.randomUUID(), signal };
  let file = await api.post(files, options);
  for (;;) {
    onProgress(file.status);
    if (file.status === "completed") return file;
    if (file.status !== "in_progress") throw asIndexingError(file);
    await sleep(POLL_MS, signal);
    file = await api.get(`${files}/${encodeURIComponent(fileId)}`, { signal });
  }
}

/** @param {Record<string, any>} file */
function asIndexingError({ status, last_error: said }) {
  return new IndexingError(said?.code ?? status, said?.message ?? "The file was not indexed.");
}
