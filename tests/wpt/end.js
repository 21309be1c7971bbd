
return await new Promise((resolve) =>
  add_completion_callback((all, status) => {
    const failed = all.filter((test) => test.status !== test.PASS);
    resolve({
      passed: all.length - failed.length,
      failed: Object.fromEntries(failed.map((test) => [test.name, String(test.message).slice(0, 200)])),
      error: status.status === status.OK ? null : String(status.message),
    });
  }));
};
