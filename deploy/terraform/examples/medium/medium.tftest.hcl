run "plan" {
  command = plan

  assert {
    condition     = module.fargate.log_group == "/ecs/${var.name}"
    error_message = "Logs stand under the deployment's name."
  }
  assert {
    condition     = module.state.table_name == var.name
    error_message = "The table has the deployment's name, so that another size finds it."
  }
}

run "takes_over" {
  command = plan
  variables {
    existing_state = "llm-router-before"
  }
  assert {
    condition     = module.state.table_name == "llm-router-before"
    error_message = "The table of another deployment is used."
  }
}

run "no_keys" {
  command = plan
  variables {
    api_keys = {}
  }
  expect_failures = [var.api_keys]
}

run "not_a_hash" {
  command = plan
  variables {
    api_keys = { app = "sk-secret" }
  }
  expect_failures = [var.api_keys]
}
