// end: threw odd
throw Object.assign(new Error("odd"), { errorClass: { toString() { for (;;) {} } }, retryAfter: -1 });
