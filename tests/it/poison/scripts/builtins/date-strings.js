// end: killed cpu
for (let day = 0; ; day++) new Date(day).toLocaleString("de", { timeZone: "Nowhere/Land".repeat(9) });
