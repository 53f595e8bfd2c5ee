"""The local gateway: it serves the functions of template.yaml as API Gateway and Lambda do."""
