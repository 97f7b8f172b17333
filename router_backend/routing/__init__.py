"""From a classified prompt to a decision: context, candidates, policy, experiments, and the learner that keeps it current."""
