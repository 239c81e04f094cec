"use strict";
// The viewer of the page; all that it shows lies in the page itself.
(async () => {
  const settings = JSON.parse(document.getElementById("settings").textContent);
  const find = (id) => document.getElementById(id);
  const canvas = find("view");
  const message = find("message");
  const layouts = { all: 3, axial: 0, coronal: 1, sagittal: 2, volume: 4 };
  const segments = new Map(settings.segments.map((segment) => [segment.number, segment]));
  let viewer;
  let layout = "all";

  const fields = { center: find("center"), width: find("width"), opacity: find("opacity"), outlines: find("outlines") };
  const draw = () => viewer.drawScene();

  function setWindow(center, width) {
    const ct = viewer.volumes[0];
    ct.cal_min = center - width / 2;
    ct.cal_max = center + width / 2;
    viewer.updateGLVolume();
    showWindow(ct);
  }
  function showWindow(ct) {
    fields.center.value = Math.round((ct.cal_min + ct.cal_max) / 2);
    fields.width.value = Math.round(ct.cal_max - ct.cal_min);
  }
  const resetWindow = () => setWindow(settings.center, settings.width);

  function setLayout(name) {
    // In 3D the CT would hide the segments that it surrounds.
    viewer.setOpacity(0, name === "volume" ? 0 : 1);
    layout = name;
    arrange();
    viewer.setSliceType(layouts[name]);
    for (const button of document.querySelectorAll("#layouts button")) {
      button.setAttribute("aria-pressed", String(button.dataset.layout === name));
    }
  }
  // Axial above coronal and beside it sagittal, at one scale; the panel takes the fourth place.
  function arrange() {
    const { dimsRAS, pixDimsRAS } = viewer.volumes[0];
    const [wide, deep, high] = [1, 2, 3].map((axis) => dimsRAS[axis] * pixDimsRAS[axis]);
    const stage = canvas.parentElement;
    stage.dataset.layout = layout;
    stage.style.setProperty("--ratio", (wide + deep) / (deep + high));
    stage.style.setProperty("--across", wide / (wide + deep));
    stage.style.setProperty("--down", deep / (deep + high));
    const [x, y] = [wide / (wide + deep), deep / (deep + high)];
    if (layout !== "all") return viewer.clearCustomLayout();
    viewer.setCustomLayout([
      { sliceType: layouts.axial, position: [0, 0, x, y] },
      { sliceType: layouts.coronal, position: [0, y, x, 1 - y] },
      { sliceType: layouts.sagittal, position: [x, y, 1 - x, 1 - y] },
    ]);
  }
  // Outlines are always drawn; this is how much of the inside is covered.
  function setOpacity(value) {
    fields.opacity.value = value;
    viewer.overlayAlphaShader = Number(value);
    draw();
  }
  function setOutlines(on) {
    fields.outlines.checked = on;
    viewer.overlayOutlineWidth = on ? 1 : 0;
    draw();
  }
  function goTo(place) {
    viewer.scene.crosshairPos = viewer.mm2frac(place);
    viewer.createOnLocationChange();
    draw();
  }
  function reset() {
    viewer.setPan2Dxyzmm([0, 0, 0, 1]);
    viewer.setScale(1);
    viewer.setRenderAzimuthElevation(settings.turn[0], settings.turn[1]);
    setLayout("all");
    resetWindow();
    setOpacity(0);
    setOutlines(true);
    goTo(settings.place);
  }

  // The number of the source slice at a place, as other viewers show it.
  function imageAt(place) {
    const { along, levels, names } = settings.images;
    const level = along[3] + along[0] * place[0] + along[1] * place[1] + along[2] * place[2];
    const away = levels.map((each) => Math.abs(each - level));
    return names[away.indexOf(Math.min(...away))];
  }
  function readOut(location) {
    const hu = Math.round(location.values[0].value);
    const segment = segments.get(Math.round(location.values[1]?.value ?? 0));
    find("readout").textContent =
      `Image ${imageAt(location.mm)}: ${hu} HU${segment ? ", " + segment.label : ""}`;
  }

  function colors() {
    const table = { R: [0], G: [0], B: [0], A: [0], I: [0], labels: [""] };
    for (const { number, label, rgb } of settings.segments) {
      table.R.push(rgb[0]);
      table.G.push(rgb[1]);
      table.B.push(rgb[2]);
      table.A.push(255);
      table.I.push(number);
      table.labels.push(label);
    }
    return table;
  }

  async function load(id, options) {
    const base64 = find(id).textContent;
    find(id).textContent = "";  // the page keeps the voxels once
    return niivue.NVImage.loadFromBase64({ base64, name: `${id}.nii.gz`, ...options });
  }

  async function start() {
    const { DRAG_MODE, SHOW_RENDER } = niivue;
    viewer = new niivue.Niivue({
      isRadiologicalConvention: true,
      sagittalNoseLeft: false,
      backColor: [0, 0, 0, 1],
      crosshairColor: [1, 1, 1, 0.45],
      crosshairWidth: 0.6,
      crosshairGap: 8,
      show3Dcrosshair: true,
      showAllOrientationMarkers: true,
      isColorbar: false,
      showLegend: false,
      multiplanarShowRender: SHOW_RENDER.NEVER,
      tileMargin: 4,
      fontSizeScaling: 0.5,
      fontColor: [1, 1, 1, 0.9],
      dragAndDropEnabled: false,
      logLevel: "error",
    });
    viewer.setMouseEventConfig({
      leftButton: { primary: DRAG_MODE.crosshair },
      rightButton: DRAG_MODE.windowing,
      centerButton: DRAG_MODE.pan,
    });
    viewer.onLocationChange = readOut;
    viewer.onIntensityChange = (volume) => showWindow(volume);
    await viewer.attachToCanvas(canvas);
    viewer.addVolume(await load("ct", {
      colormap: "gray",
      cal_min: settings.center - settings.width / 2,
      cal_max: settings.center + settings.width / 2,
      trustCalMinMax: false,
    }));
    if (settings.segments.length) {
      const labels = await load("labels", { opacity: 1 });
      labels.setColormapLabel(colors());
      viewer.addVolume(labels);
      viewer.setCustomSliceShader(find("outline").textContent.trim());
    }
    reset();
  }

  function connect() {
    find("layouts").addEventListener("click", ({ target }) => target.dataset.layout && setLayout(target.dataset.layout));
    for (const field of [fields.center, fields.width]) {
      field.addEventListener("change", () => setWindow(Number(fields.center.value), Math.max(1, Number(fields.width.value))));
    }
    find("window").addEventListener("click", resetWindow);
    fields.opacity.addEventListener("input", () => setOpacity(fields.opacity.value));
    fields.outlines.addEventListener("change", () => setOutlines(fields.outlines.checked));
    for (const button of document.querySelectorAll("#segments button")) {
      button.addEventListener("click", () => goTo(segments.get(Number(button.value)).place));
    }
    const step = (slices) => viewer.moveCrosshairInVox(0, 0, slices);
    const keys = {
      1: () => setLayout("all"), 2: () => setLayout("axial"), 3: () => setLayout("coronal"),
      4: () => setLayout("sagittal"), 5: () => setLayout("volume"),
      s: () => setOutlines(!fields.outlines.checked),
      f: () => setOpacity(Number(fields.opacity.value) > 0 ? 0 : 0.45),
      w: resetWindow, r: reset, ArrowUp: () => step(1), ArrowDown: () => step(-1),
    };
    // In the capture phase: NiiVue has keys of its own for some of these.
    canvas.addEventListener("keydown", (event) => {
      const action = keys[event.key];
      if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      action();
    }, true);
  }

  try {
    connect();
    await start();
    message.textContent = "";
    document.documentElement.dataset.viewer = "ready";
    window.renalsegViewer = viewer;
  } catch (error) {
    document.documentElement.dataset.viewer = "failed";
    message.textContent = `The viewer needs a browser with WebGL 2 (${error.message}). The pictures below show the result.`;
  }
})();
