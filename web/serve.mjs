// Serves dist/ as it is now, and hands everything else on to a running server: for work on the page
// without building the program anew.
//
//   node serve.mjs http://127.0.0.1:9080 [PORT]

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, request as ask } from "node:http";
import { extname } from "node:path";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };

/** Gives the address of the pages. */
export async function serve(behind, port = 0) {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, behind);
    const name = pathname === "/" ? "index.html" : pathname.slice(1);
    const page = /^[\w.]+$/.test(name) && (await readFile(new URL(`dist/${name}`, import.meta.url)).catch(() => undefined));
    if (page) {
      response.writeHead(200, { "content-type": TYPES[extname(name)] ?? "application/octet-stream", "cache-control": "no-store" }).end(page);
      return;
    }
    const { hostname, port } = new URL(behind);
    const onward = ask({ hostname, port, path: request.url, method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
      answer.on("error", () => response.destroy());
    });
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    request.pipe(onward);
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  server.unref();
  return `http://127.0.0.1:${server.address().port}/`;
}

if (process.argv[1] === import.meta.filename) {
  const [behind, port] = process.argv.slice(2);
  if (!behind) {
    console.error("usage: node serve.mjs http://127.0.0.1:9080 [PORT]");
    process.exit(2);
  }
  console.log(await serve(behind, Number(port ?? 0)));
  setInterval(() => {}, 1 << 30);
}
