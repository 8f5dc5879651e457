// The API page: everything comes from this server, and a key that was entered stays in this browser.
SwaggerUIBundle({
  spec: JSON.parse(document.getElementById("schema").textContent),
  dom_id: "#api",
  deepLinking: true,
  tryItOutEnabled: true,
  persistAuthorization: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});
