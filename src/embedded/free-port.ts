/** Ports for the embedded servers. */
import net from 'node:net';

/** How far above a wanted port another is looked for, before the system chooses. */
const NEIGHBOURS = 20;

/** The wanted port when nobody listens on it, else the next free one. 0: whichever the system gives. */
export async function freePort(wanted = 0, host = '127.0.0.1'): Promise<number> {
  for (let port = wanted; wanted !== 0 && port <= Math.min(65_535, wanted + NEIGHBOURS); port += 1) {
    if ((await tryToListen(port, host)) !== null) return port;
  }
  const given = await tryToListen(0, host);
  if (given === null) throw new Error(`The system gives no free port on ${host}`);
  return given;
}

/** The port listened on for a moment; null when it is in use or not allowed. Rejects when the host is not one of this machine. */
function tryToListen(port: number, host: string): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(null);
      else reject(error);
    });
    server.listen(port, host, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : null));
    });
  });
}
