(async () => {
  const charts = [...document.querySelectorAll("[data-chart]")];
  const moving = [...document.querySelectorAll("[data-moving]")];
  const packed = (id) => document.getElementById(id).textContent.trim();
  const unpacked = async (id) => {
    const bytes = Uint8Array.from(atob(packed(id)), (c) => c.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };
  try {
    for (const picture of document.querySelectorAll("img[data-packed]")) {
      picture.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(await unpacked(picture.dataset.packed));
    }
    if (charts.length || moving.length) {
      const library = document.createElement("script");
      library.textContent = await unpacked("plotly");
      document.head.append(library);
    }
    for (const chart of charts) {
      const { data, layout } = JSON.parse(packed(chart.dataset.chart));
      await Plotly.newPlot(chart, data, layout, {
        responsive: true,
        displaylogo: false,
        modeBarButtons: [["toImage", "resetScale2d"]],
      });
    }
    // A picture that moves is drawn when its part of the page is opened.
    const drawn = new Set();
    const show = async () => {
      for (const place of moving) {
        if (drawn.has(place) || !(place.closest("details")?.open ?? true)) continue;
        drawn.add(place);
        const { data, layout, frames } = JSON.parse(await unpacked(place.dataset.moving));
        place.previousElementSibling.textContent = layout.meta;
        await Plotly.newPlot(place, { data, layout, frames, config: { responsive: true, displayModeBar: false } });
      }
    };
    for (const part of document.querySelectorAll("details")) part.addEventListener("toggle", show);
    await show();
    // An entry of the legend shows or hides its runs in every chart.
    if (charts.length) {
      charts[0].on("plotly_restyle", ([change]) => {
        if (!("visible" in change)) return;
        const shown = new Map(charts[0].data.map((trace) => [trace.legendgroup, trace.visible ?? true]));
        for (const chart of charts.slice(1)) {
          Plotly.restyle(chart, { visible: chart.data.map((trace) => (shown.get(trace.legendgroup) === true)) });
        }
      });
    }
    document.documentElement.dataset.ready = "yes";
  } catch (error) {
    for (const chart of [...charts, ...moving]) chart.textContent = `No chart: ${error.message}. It needs a browser of 2023 or newer.`;
    throw error;
  }
})();
