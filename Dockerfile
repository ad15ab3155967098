# One image for the API, the worker and the `sheaf` command. Not Alpine: Temporal's core and SQLite are built for glibc.
# Run it with an init (`docker run --init`, `init: true`), which hands on signals and ends orphans.

FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev

# The workflows are bundled here, so that no worker spends a minute, and webpack's memory, on it at its start.
FROM dependencies AS workflows
COPY src ./src
RUN node src/temporal/bundle-process.ts /app/workflows.js

FROM node:24-bookworm-slim
WORKDIR /app
# The flags are those of src/embedded/lean.ts.
ENV NODE_ENV=production \
    NODE_OPTIONS="--max-old-space-size=1024 --max-semi-space-size=4 --v8-pool-size=1" \
    MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=327680 MALLOC_TRIM_THRESHOLD_=4194304 \
    SHEAF_HOME=/var/lib/sheaf \
    SHEAF_API_HOST=0.0.0.0 \
    SHEAF_WORKFLOW_BUNDLE=/app/workflows.js
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=workflows /app/workflows.js ./
COPY package.json ./
COPY bin ./bin
COPY scripts ./scripts
COPY samples ./samples
COPY deploy/healthy.mjs ./deploy/
COPY src ./src
RUN ln -s /app/bin/sheaf.mjs /usr/local/bin/sheaf \
 && mkdir -p /var/lib/sheaf && chown node:node /var/lib/sheaf
USER node
EXPOSE 8088
HEALTHCHECK --interval=15s --timeout=10s --start-period=30s --retries=4 CMD ["node", "deploy/healthy.mjs", "api"]
# The worker: `node --min-semi-space-size=8 --max-semi-space-size=8 src/worker.ts`.
CMD ["node", "src/server.ts"]
