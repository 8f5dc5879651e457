// The API page: everything comes from this server. A key that was entered is gone with the page: storage would show it to
// whoever uses this browser next, and earlier releases stored it.
localStorage.removeItem("authorized");
SwaggerUIBundle({
  spec: JSON.parse(document.getElementById("schema").textContent),
  dom_id: "#api",
  deepLinking: true,
  tryItOutEnabled: true,
  persistAuthorization: false,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});
