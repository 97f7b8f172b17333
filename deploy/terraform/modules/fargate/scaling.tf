resource "aws_appautoscaling_target" "tasks" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${aws_ecs_cluster.router.name}/${aws_ecs_service.router.name}"
  min_capacity       = var.tasks.min
  max_capacity       = var.tasks.max
  lifecycle {
    ignore_changes = [min_capacity, max_capacity] # at night they are others
  }
}

# A decision is the classifier's processor time; answers that are waited for cost none.
resource "aws_appautoscaling_policy" "processor" {
  name               = "${var.name}-processor"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.tasks.service_namespace
  scalable_dimension = aws_appautoscaling_target.tasks.scalable_dimension
  resource_id        = aws_appautoscaling_target.tasks.resource_id
  target_tracking_scaling_policy_configuration {
    target_value       = 50
    scale_in_cooldown  = 300
    scale_out_cooldown = 30
    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}

resource "aws_appautoscaling_policy" "requests" {
  name               = "${var.name}-requests"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.tasks.service_namespace
  scalable_dimension = aws_appautoscaling_target.tasks.scalable_dimension
  resource_id        = aws_appautoscaling_target.tasks.resource_id
  target_tracking_scaling_policy_configuration {
    target_value       = var.requests_per_minute_per_task
    scale_in_cooldown  = 300
    scale_out_cooldown = 30
    predefined_metric_specification {
      predefined_metric_type = "ALBRequestCountPerTarget"
      resource_label         = "${aws_lb.router.arn_suffix}/${aws_lb_target_group.gateway.arn_suffix}"
    }
  }
}

# Development: nothing runs at night.
resource "aws_appautoscaling_scheduled_action" "night" {
  for_each = var.night_stop == null ? {} : {
    stop  = { schedule = var.night_stop.stop, min = 0, max = 0 }
    start = { schedule = var.night_stop.start, min = var.tasks.min, max = var.tasks.max }
  }
  name               = "${var.name}-night-${each.key}"
  service_namespace  = aws_appautoscaling_target.tasks.service_namespace
  scalable_dimension = aws_appautoscaling_target.tasks.scalable_dimension
  resource_id        = aws_appautoscaling_target.tasks.resource_id
  schedule           = each.value.schedule
  timezone           = var.night_stop.timezone
  scalable_target_action {
    min_capacity = each.value.min
    max_capacity = each.value.max
  }
}
