#!/bin/bash
# The buckets, and two users: the pipelines reach theirs, MLflow reaches its own, and neither reaches anything else.
# Safe to run at every start; a new password in .env is set. The image holds bash and coreutils, and no sed or grep.
set -euo pipefail

policy() {  # of the buckets that are named: list them, read, write and delete their objects, and nothing more
  local buckets="" objects="" bucket
  for bucket in "$@"; do
    buckets+="${buckets:+, }\"arn:aws:s3:::$bucket\""
    objects+="${objects:+, }\"arn:aws:s3:::$bucket/*\""
  done
  printf '{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"],
   "Resource": [%s]},
  {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload",
   "s3:ListMultipartUploadParts"], "Resource": [%s]}]}\n' "$buckets" "$objects"
}

user() {  # name, password, buckets: the policy bears the user's name
  local name="$1" password="$2"
  shift 2
  policy "$@" > "$MC_CONFIG_DIR/$name.json"
  mc admin policy create store "$name" "$MC_CONFIG_DIR/$name.json"
  # By standard input: an argument shows in the list of processes.
  printf '%s\n%s\n' "$name" "$password" | mc admin user add store
  # Refused where it is attached already; what counts is looked at afterwards.
  mc admin policy attach store "$name" --user "$name" || true
  local info
  info="$(mc admin user info store "$name" --json)"
  [[ "${info// /}" == *"\"policyName\":\"$name\""* ]] || {
    echo "error: the policy of the user $name is not in force: ${info}" >&2
    return 1
  }
}

mkdir -p "$MC_CONFIG_DIR"
export MC_HOST_store="${S3_ENDPOINT_URL/:\/\//://$MINIO_ROOT_USER:$MINIO_ROOT_PASSWORD@}"
read -r -a pipeline_buckets <<< "$S3_BUCKETS"

mc mb --ignore-existing "${pipeline_buckets[@]/#/store/}" "store/$MLFLOW_S3_BUCKET"
user "$S3_ACCESS_KEY_ID" "$S3_SECRET_ACCESS_KEY" "${pipeline_buckets[@]}"
user "$MLFLOW_S3_ACCESS_KEY_ID" "$MLFLOW_S3_SECRET_ACCESS_KEY" "$MLFLOW_S3_BUCKET"
