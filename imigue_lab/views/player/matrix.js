// A confusion matrix: darker cells have a larger share of their row; clicking a cell selects it.

function shade(share) {
  const from = [247, 251, 255]; // ColorBrewer's Blues, lightest and darkest
  const to = [8, 48, 107];
  return `rgb(${from.map((c, i) => Math.round(c + share * (to[i] - c)))})`;
}

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "lab-matrix";
  el.append(root);

  function draw() {
    const [rows, columns, counts] = ["rows", "columns", "counts"].map((name) => model.get(name));
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    const axes = document.createElement("td");
    axes.className = "axes";
    axes.textContent = "predicted →\ntrue ↓";
    head.append(axes);
    for (const name of columns) {
      const th = document.createElement("th");
      th.textContent = name;
      head.append(th);
    }
    const body = table.createTBody();
    rows.forEach((name, i) => {
      const line = body.insertRow();
      const th = document.createElement("th");
      th.textContent = name;
      line.append(th);
      const total = counts[i].reduce((a, b) => a + b, 0);
      columns.forEach((column, j) => {
        const button = document.createElement("button");
        const share = total ? counts[i][j] / total : 0;
        button.textContent = counts[i][j] || "";
        button.title = `true: ${name}, predicted: ${column}: ${counts[i][j]} of ${total}`;
        button.disabled = !counts[i][j];
        button.style.background = shade(share);
        button.style.color = share > 0.5 ? "#fff" : "#222";
        button.onclick = () => {
          model.set("cell", [name, column]);
          model.save_changes();
        };
        button.dataset.cell = `${name}|${column}`;
        line.insertCell().append(button);
      });
    });
    root.replaceChildren(table);
    mark();
  }

  function mark() {
    const selected = model.get("cell").join("|");
    for (const button of root.querySelectorAll("button")) {
      button.classList.toggle("selected", button.dataset.cell === selected);
    }
  }

  model.on("change:counts", draw);
  model.on("change:cell", mark);
  draw();
  return () => {
    model.off("change:counts", draw);
    model.off("change:cell", mark);
  };
}

export default { render };
