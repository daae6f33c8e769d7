// Files are sent beside the graph, and shown by addresses that the graph makes for the user who asks.
import { endpoint } from "./settings.js";
import { credential } from "./sign_in.js";
import { execute } from "./transport.js";

const FILES = new URL("files", endpoint);

/**
 * Sends a file, unless `signal` says no. Returns its `id`, `filename` and `purpose`.
 *
 * `fetch` would do, but does not tell how far it is.
 */
export async function sendFile(file, onProgress, signal) {
  const form = new FormData();
  form.append("file", file);
  const headers = { "GraphQL-Require-Preflight": "1", ...(await credential()) };
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", FILES);
    request.responseType = "json";
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => onProgress(loaded / total);
    request.onload = () => {
      const { errors, ...sent } = request.response ?? { errors: [{ message: "The file could not be sent." }] };
      if (errors) reject(new Error(errors[0].message));
      else resolve(sent);
    };
    request.onerror = request.onabort = () => reject(new Error("The file could not be sent."));
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

/** Deletes a file that was sent but is not needed. */
export const deleteFile = (fileId) =>
  execute({
    query: "mutation ($input: DeleteFileInput!) { deleteFile(input: $input) { deletedId userErrors { message } } }",
    variables: { input: { fileId } },
  });

/** The input of a message: images are part of its content, all else is for the code interpreter. */
export const messageInput = ({ text, files }) => ({
  content: [{ text }, ...files.filter(isImage).map(({ id }) => ({ imageFile: { fileId: id } }))],
  attachments: files.filter((file) => !isImage(file)).map(({ id }) => ({ fileId: id, tools: ["CODE_INTERPRETER"] })),
});

const isImage = ({ purpose }) => purpose === "vision";

/** The files that a message shows, those to download, and those that it cites. A deleted one is missing. */
export function filesIn({ content, attachments }) {
  const annotations = content.flatMap(({ annotations }) => annotations ?? []);
  const ofType = (parts, name) => parts.filter(({ __typename }) => __typename === name).map(({ file }) => file);
  return {
    images: present(ofType(content, "ImageFileContent")),
    downloads: present([...attachments.map(({ file }) => file), ...ofType(annotations, "FilePath")]),
    cited: present(ofType(annotations, "FileCitation")),
  };
}

/** A text without the paths that files have where a run's code writes them. The links beside the text lead to them. */
export const withoutPaths = (text) => text?.replaceAll(/\[([^\]]+)\]\(sandbox:[^)]*\)/g, "$1");

const present = (files) => [...new Map(files.filter(Boolean).map((file) => [file.id, file])).values()];

/** A new address of a file's content, since those of a page that was read long ago have ended. */
export async function newContentUrl(fileId) {
  const query = "query ($id: ID!) { file(id: $id) { contentUrl } }";
  const { data } = await execute({ query, variables: { id: fileId } });
  return data?.file?.contentUrl ?? null;
}

/** A new address of a content that can be read. Throws otherwise: an upstream may keep what was sent to itself. */
export async function downloadUrl(fileId) {
  const url = await newContentUrl(fileId);
  const response = url && (await fetch(url, { method: "HEAD" }));
  if (!response?.ok) throw new Error("This file cannot be downloaded.");
  return url;
}
