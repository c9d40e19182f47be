(async () => {
  const charts = [...document.querySelectorAll("[data-chart]")];
  const packed = (id) => document.getElementById(id).textContent.trim();
  const unpacked = async (id) => {
    const bytes = Uint8Array.from(atob(packed(id)), (c) => c.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };
  try {
    for (const picture of document.querySelectorAll("img[data-packed]")) {
      picture.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(await unpacked(picture.dataset.packed));
    }
    if (charts.length) {
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
    for (const chart of charts) chart.textContent = `No chart: ${error.message}. It needs a browser of 2023 or newer.`;
    throw error;
  }
})();
