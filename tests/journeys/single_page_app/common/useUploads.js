import { useReducer } from "react";
import { deleteFile, sendFile } from "./files.js";

let lastKey = 0;

/** The files of the next message. Each is sent as soon as it is chosen. */
export function useUploads() {
  const [uploads, dispatch] = useReducer(applyChange, []);
  const add = async (file) => {
    const key = ++lastKey;
    const stop = new AbortController();
    const change = (fields) => dispatch({ key, fields });
    change({ name: file.name, progress: 0, sent: null, problem: null, stop });
    try {
      const sent = await sendFile(file, (progress) => change({ progress }), stop.signal);
      change({ progress: 1, sent });
    } catch (error) {
      change({ problem: error.message });
    }
  };
  const remove = ({ key, sent, stop }) => {
    dispatch({ key });
    stop.abort();
    if (sent) deleteFile(sent.id);
  };
  return {
    uploads,
    areReady: uploads.every(({ sent }) => sent),
    add: (files) => [...files].forEach(add),
    remove,
    clear: () => uploads.forEach(({ key }) => dispatch({ key })),
  };
}

/** Changes one upload, or removes it if there are no fields. */
function applyChange(uploads, { key, fields }) {
  if (!fields) return uploads.filter((upload) => upload.key !== key);
  const known = uploads.some((upload) => upload.key === key);
  if (!known) return "name" in fields ? [...uploads, { key, ...fields }] : uploads; // removed meanwhile
  return uploads.map((upload) => (upload.key === key ? { ...upload, ...fields } : upload));
}
