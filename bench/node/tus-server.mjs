// The reference tus server for Node, as its README shows it, and one cheap page.
import http from "node:http";
import { FileStore } from "@tus/file-store";
import { Server } from "@tus/server";

const [port, directory] = process.argv.slice(2);
const tus = new Server({ path: "/files", datastore: new FileStore({ directory }) });
http.createServer((request, response) => {
  if (request.url === "/ping") { response.end("pong"); return; }
  tus.handle(request, response);
}).listen(Number(port), "127.0.0.1");
