"""What other systems talk to: a REST interface over Workspace, and nothing that Workspace does not offer."""
