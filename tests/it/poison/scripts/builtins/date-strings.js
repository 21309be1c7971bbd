// end: killed cpu
for (let day = 0; ; day++) new Date(day).toLocaleString("de", { timeZone: "Europe/Berlin" });
