/** Messages and services, for tests that are not built with the page. */
export * from "../src/proto/boreside/v1/images_pb";
export * from "../src/proto/boreside/v1/live_pb";
export * from "../src/proto/boreside/v1/server_pb";
export * from "../src/proto/boreside/v1/sessions_pb";
