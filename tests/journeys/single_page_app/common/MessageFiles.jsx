import { useState } from "react";
import { downloadUrl, filesIn, newContentUrl } from "./files.js";

/** The files of a message: its images, those that it attaches or that a run made, and those that it cites. */
export function MessageFiles({ message }) {
  const { images, downloads, cited } = filesIn(message);
  if (images.length + downloads.length + cited.length === 0) return null;
  return (
    <ul className="files" aria-label="Files">
      {images.map((file) => (
        <li key={file.id}>
          <Image file={file} />
        </li>
      ))}
      {downloads.map((file) => (
        <li key={file.id}>
          <Download file={file} />
        </li>
      ))}
      {cited.map(({ id, filename }) => (
        <li key={id}>
          <cite>{filename}</cite>
        </li>
      ))}
    </ul>
  );
}

/** An image. If its address has ended, it asks for another one, once. */
function Image({ file: { id, filename, contentUrl } }) {
  const [newUrl, setNewUrl] = useState();
  if (contentUrl === null) return filename;
  const onError = async () => newUrl === undefined && setNewUrl(await newContentUrl(id));
  return <img src={newUrl ?? contentUrl} alt={filename} onError={onError} />;
}

/** A link to a file. The page may have been read long ago, so it asks for an address when it is followed. */
function Download({ file: { id, filename, contentUrl } }) {
  const [problem, setProblem] = useState(null);
  if (contentUrl === null) return filename;
  const onClick = async (event) => {
    event.preventDefault();
    try {
      location.assign(await downloadUrl(id)); // a download, so the page stays
    } catch (error) {
      setProblem(error.message);
    }
  };
  return (
    <>
      <a href={contentUrl} onClick={onClick} download>
        {filename}
      </a>
      {problem && <p role="alert">{problem}</p>}
    </>
  );
}
