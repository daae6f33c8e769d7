// Runs Vite's development server once for each given config file, over the page in `root`. Prints their addresses as one
// JSON object by config file.
import { createServer } from "vite";

const [root, ...configFiles] = process.argv.slice(2);
const addresses = {};
for (const configFile of configFiles) {
  const server = await createServer({ configFile, root, logLevel: "error", server: { host: "127.0.0.1" } });
  await server.listen();
  addresses[configFile] = server.resolvedUrls.local[0];
}
console.log(JSON.stringify(addresses));
